# Reference values of tests/unit/validation, by R's own packages: Rscript reference.R > reference.json, in this folder.
# cohort.csv is drawn from a seed; ovarian.csv is the table of DeLong, DeLong and Clarke-Pearson (1988), 43 complete cases.
suppressMessages({library(pROC); library(rms); library(epiR); library(jsonlite)})
ovarian <- read.csv("ovarian.csv")
rocs <- list(albumin = roc(ovarian$no_benefit, -ovarian$albumin, levels = c(1, 0), direction = "<", quiet = TRUE),
             kg_score = roc(ovarian$no_benefit, ovarian$kg_score, levels = c(1, 0), direction = "<", quiet = TRUE),
             total_protein = roc(ovarian$no_benefit, -ovarian$total_protein, levels = c(1, 0), direction = "<", quiet = TRUE))
compare <- function(a, b) {
  t <- roc.test(rocs[[a]], rocs[[b]], method = "delong", paired = TRUE)
  list(first = a, second = b, z = unname(t$statistic), p = t$p.value)
}
cohort <- read.csv("cohort.csv")
y <- cohort$outcome; p <- cohort$probability; lp <- qlogis(p)
r <- roc(y, p, levels = c(0, 1), direction = "<", quiet = TRUE)
youden <- coords(r, "best", best.method = "youden", ret = c("sensitivity", "specificity"))
exact <- glm.control(epsilon = 1e-14, maxit = 100)
large <- glm(y ~ 1, family = binomial, offset = lp, control = exact)
slope <- glm(y ~ lp, family = binomial, control = exact)
v <- val.prob(p, y, pl = FALSE)
knots <- quantile(lp, c(0.1, 0.5, 0.9))
spline <- glm(y ~ rcspline.eval(lp, knots = knots, inclx = TRUE), family = binomial, control = exact)
at <- qlogis(c(0.1, 0.25, 0.5))
design <- cbind(1, rcspline.eval(at, knots = knots, inclx = TRUE))
center <- as.vector(design %*% coef(spline)); error <- sqrt(diag(design %*% vcov(spline) %*% t(design)))
group <- cut(p, quantile(p, seq(0, 1, 0.1)), include.lowest = TRUE)
observed <- tapply(y, group, sum); expected <- tapply(p, group, sum); n <- tapply(y, group, length)
hl <- sum((observed - expected)^2 / (expected * (1 - expected / n)))
positive <- factor(p >= 0.3, c(TRUE, FALSE)); event <- factor(y == 1, c(TRUE, FALSE))
tests <- epi.tests(table(positive, event), method = "wilson", conf.level = 0.95)$detail
rows <- function(names) setNames(lapply(names, function(k) unlist(tests[tests$statistic == k, c("est", "lower", "upper")], use.names = FALSE)), names)
classes <- split(cohort, cohort$outcome)
test_of <- function(t) list(statistic = unname(t$statistic), p = t$p.value)
interval <- function(fit, k) as.vector(c(coef(fit)[k], confint.default(fit)[k, ]))
cat(toJSON(list(
  versions = list(R = as.character(getRversion()), pROC = as.character(packageVersion("pROC")), rms = as.character(packageVersion("rms")), epiR = as.character(packageVersion("epiR"))),
  auc = lapply(rocs, function(r) as.vector(ci.auc(r))[c(2, 1, 3)]),
  delong = list(compare("albumin", "kg_score"), compare("total_protein", "kg_score"), compare("albumin", "total_protein")),
  cohort_auc = as.vector(ci.auc(r))[c(2, 1, 3)], youden = as.list(youden),
  intercept = interval(large, 1), slope_intercept = interval(slope, 1), slope = interval(slope, 2),
  val_prob = list(intercept = v[["Intercept"]], slope = v[["Slope"]], brier = v[["Brier"]], c = v[["C (ROC)"]]),
  spline = list(probability = plogis(at), observed = plogis(center), low = plogis(center - qnorm(0.975) * error), high = plogis(center + qnorm(0.975) * error)),
  hosmer_lemeshow = list(statistic = hl, external = pchisq(hl, 10, lower.tail = FALSE), in_sample = pchisq(hl, 8, lower.tail = FALSE)),
  decisions = rows(c("se", "sp", "diag.ac", "pv.pos", "pv.neg", "lr.pos", "lr.neg")),
  age = test_of(t.test(classes[["0"]]$age, classes[["1"]]$age)),
  onset_to_ct_h = test_of(wilcox.test(classes[["0"]]$onset_to_ct_h, classes[["1"]]$onset_to_ct_h, exact = FALSE)),
  epilepsy = test_of(chisq.test(table(cohort$outcome, cohort$epilepsy), correct = FALSE)),
  rare = list(p = fisher.test(table(cohort$outcome, cohort$rare))$p.value),
  location = list(p = fisher.test(table(cohort$outcome, cohort$location))$p.value),
  ks = test_of(suppressWarnings(ks.test(classes[["0"]]$age, classes[["1"]]$age, exact = FALSE))),
  shapiro = list(age0 = shapiro.test(classes[["0"]]$age)$p.value, onset0 = shapiro.test(classes[["0"]]$onset_to_ct_h)$p.value),
  quartiles = as.vector(quantile(classes[["1"]]$onset_to_ct_h, c(0.25, 0.5, 0.75))),
  holm = p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm"),
  partial_f = { a <- lm(lp ~ y); b <- lm(lp ~ y + cohort$location); t <- anova(a, b); list(f = t$F[2], p = t$`Pr(>F)`[2], r2 = (t$RSS[1] - t$RSS[2]) / t$RSS[1]) }
), auto_unbox = TRUE, digits = 15, pretty = TRUE))

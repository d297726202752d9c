# Reference values of tests/unit/dlrn/test_multinomial_against_r.py: Rscript reference.R > reference.json, in this folder.
# cases.csv is drawn from a seed: 120 cases of three classes, and 30 without a class, whose probabilities are asked for.
suppressMessages({library(nnet); library(pROC); library(jsonlite)})
cases <- read.csv("cases.csv", na.strings = "")
classes <- c("HP", "CVT", "CAA")
cases$class <- factor(cases$class, classes)
known <- cases[!is.na(cases$class), ]; fresh <- cases[is.na(cases$class), ]
fit <- multinom(class ~ b + c + epilepsy, known, trace = FALSE, maxit = 10000, reltol = 1e-16, abstol = 0, Hess = TRUE)
of_known <- predict(fit, known, type = "probs")
cat(toJSON(list(
  versions = list(R = as.character(getRversion()), nnet = as.character(packageVersion("nnet")), pROC = as.character(packageVersion("pROC"))),
  classes = classes,
  coefficients = unname(coef(fit)),
  standard_errors = unname(summary(fit)$standard.errors),
  log_likelihood = as.numeric(logLik(fit)),
  fresh = unname(predict(fit, fresh, type = "probs")),
  m = as.numeric(multiclass.roc(known$class, of_known, quiet = TRUE)$auc)
), auto_unbox = TRUE, digits = 15, pretty = TRUE))

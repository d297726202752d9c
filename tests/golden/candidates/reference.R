# Reference values of tests/unit/dlrn/test_candidates_against_r.py: Rscript reference.R > reference.json, in this folder.
# cases.csv is drawn from a seed: 90 cases of three classes, with clinical values of which some are unknown.
suppressMessages(library(jsonlite))
cases <- read.csv("cases.csv", na.strings = "")
cases$class <- factor(cases$class, c("HP", "CVT", "CAA"))
counts <- function(name) table(cases$class, cases[[name]])
chi_square <- function(name) chisq.test(counts(name), correct = FALSE)
cat(toJSON(list(
  versions = list(R = as.character(getRversion())),
  age = oneway.test(age ~ class, cases, var.equal = FALSE)$p.value,
  delay = kruskal.test(delay ~ class, cases)$p.value,
  seizure = chi_square("seizure")$p.value,
  location = chi_square("location")$p.value,
  alcohol = fisher.test(counts("alcohol"))$p.value,
  device = fisher.test(counts("device"), workspace = 2e7)$p.value,
  smallest_expected = list(
    seizure = min(chi_square("seizure")$expected), location = min(chi_square("location")$expected),
    alcohol = min(suppressWarnings(chi_square("alcohol"))$expected), device = min(suppressWarnings(chi_square("device"))$expected)),
  smallest_shapiro = list(
    age = min(tapply(cases$age, cases$class, function(own) shapiro.test(own)$p.value)),
    delay = min(tapply(cases$delay, cases$class, function(own) shapiro.test(own)$p.value)))
), auto_unbox = TRUE, digits = 15, pretty = TRUE))

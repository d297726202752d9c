"""The deep-learning radiomics nomogram: selected, fitted, frozen in a bundle, and applied."""

"""Cases by themselves, without a store: image and outline to a card, or to what PyRadiomics' command prints."""

"""One case by itself: image and outline to a card, without a store."""

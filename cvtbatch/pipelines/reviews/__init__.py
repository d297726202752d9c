"""Reviews: pages to look at outlines with, and what was said of them into the store."""

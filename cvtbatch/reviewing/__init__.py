"""Pages on which a person looks at outlines, and at cases without one, and says what of them can be used."""

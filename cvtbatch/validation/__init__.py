"""What scores, outlines and cohorts are worth: pure statistics, and who is eligible for them."""

"""What a search is made of: weighting, feedback, pools, fusion, and the index."""

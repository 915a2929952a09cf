"""What answers are worth: by those that are known to be right, and by the documents that they cite."""

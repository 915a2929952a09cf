"""What is done to text: languages, analysis, detection, snippets, and analysis on all cores."""

"""What is done to text: languages, analysis, detection, snippets, answers, and analysis on all cores."""

"""The paper's experiment: run as a grid, shown as a report."""

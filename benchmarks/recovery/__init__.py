"""Recovery from few entries by other people's packages (peers), and who beat the portfolio (beaten)."""

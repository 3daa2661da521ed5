"""What the tests of deploy/ and nginx/ are made of: the real programs as processes, and an application behind them."""

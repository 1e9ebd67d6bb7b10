"""Pure values that the core and the engines exchange: nothing is translated twice."""

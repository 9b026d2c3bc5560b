"""What a wrong answer costs, class by class."""

"""Workers: the one way work is spread over processors or machines, and taken up again."""

"""A cluster in virtual time: the real controller and the real chain of workers, on simulated links and machines."""

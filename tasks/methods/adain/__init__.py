"""AdaIN (Huang and Belongie, ICCV 2017): the baseline."""

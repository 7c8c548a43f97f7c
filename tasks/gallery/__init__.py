"""What a report shows of a dataset, read from storage: bounded, however large the dataset."""

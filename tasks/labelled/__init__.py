"""Labelled tables as a source of styles: Parquet files of pictures with columns of classes, such as WikiArt."""

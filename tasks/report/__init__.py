"""The report: plain values in, one self-contained HTML page out; nothing here reads storage."""

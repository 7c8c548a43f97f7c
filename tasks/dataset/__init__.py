"""The dataset on storage: schema, sink, ledger, verify."""

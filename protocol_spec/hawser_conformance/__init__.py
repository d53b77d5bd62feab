"""The conformance suite and the spec lint; knows the protocol only from its specification."""

"""What a node knows of channels, as pure code: nothing here waits, stores or sends."""

"""Hostile networks and middleboxes: how soon real programs recover, and at what cost."""

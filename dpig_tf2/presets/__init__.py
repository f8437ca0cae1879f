"""Presets of weights: trained networks by name, `preset:NAME`, in the package or fetched.

Not to be confused with `config.PRESETS`, which name settings to train with.
"""

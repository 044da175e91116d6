"""The Pants backend of Strata: targets, fields, options and goals. It handles no bytes."""

"""From the inputs of a layer to its entries: one module or package per kind of object."""

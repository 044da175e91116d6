"""Signatures of images by a command of the user's: a descriptor in, an OCI image layout out.

``command`` runs it, ``answer`` reads what it says, ``attach`` puts that into the image's
repository. There is no cryptography here.
"""

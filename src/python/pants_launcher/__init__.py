"""The bootstrap behind the ``./pants`` script: gets Pants onto a machine and starts it.

It uses only the standard library and runs on any Python from 3.7 on. A warm start imports nothing
but :mod:`pants_launcher.cli` and the few small modules that module names at its top.
"""

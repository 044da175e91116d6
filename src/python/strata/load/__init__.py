"""Images into container engines that are on this machine."""

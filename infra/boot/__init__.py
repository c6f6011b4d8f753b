"""Boot of an instance: the artifact, the wheelhouse, user data and scripts."""

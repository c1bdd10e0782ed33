"""Models of videos as evaluation, sampling and the studies know them: VideoFlow, floors, anybody's."""

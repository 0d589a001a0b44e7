"""VRM avatars: what their files say, their preset expressions, and how expressions act on each other."""

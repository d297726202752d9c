"""A store itself: its status, exports, snapshots, specifications and upkeep."""

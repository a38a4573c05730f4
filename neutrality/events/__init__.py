"""What crosses a border: events in, assessments and alerts out."""

"""What the Slicer application adds to MRML for scripted modules: made here on real MRML and real Qt."""

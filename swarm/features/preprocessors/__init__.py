"""What ControlNets are shown: ways to draw a picture over. One file for each (swarm-t2i 9.9)."""

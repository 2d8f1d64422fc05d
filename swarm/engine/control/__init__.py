"""What leads a picture besides its prompt: ControlNets and their kin, IP-Adapters, style models, references."""

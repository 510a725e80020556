"""What a machine can prove about itself: evidence, parsed and not believed, and its appraisal by policy. Pure."""

"""What runs a job: processes of this machine, or Ray Data on a machine or a cluster."""

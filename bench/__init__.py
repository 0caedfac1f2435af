"""`make bench`: this client against its peers, on one etcd, in one run."""

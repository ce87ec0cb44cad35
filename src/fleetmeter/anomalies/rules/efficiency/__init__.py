"""Finds sessions that deliver too little DC for their AC."""

"""What several endpoints need: parameters, paths, problems, the OpenAPI document."""

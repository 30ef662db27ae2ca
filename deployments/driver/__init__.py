"""What drives the stages: from a scene or a text to audio, over the graph.

The ingress drives for a client that listens, the job runner for a result that is kept; both run
this code. It knows the deployments by their handles, and nothing of HTTP.
"""

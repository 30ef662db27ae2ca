"""Kokoro-82M driven in Korean: pronounced Hangul to IPA to speech, without torch."""

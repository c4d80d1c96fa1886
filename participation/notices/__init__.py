"""Notices: what bots and importers send beside events. They travel through the same queue as events, in their order.

`names` tells how accounts, channels and spaces are called. `presence` tells whether a bot is in a community.
"""

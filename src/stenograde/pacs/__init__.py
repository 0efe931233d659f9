"""The port: studies come in from scanners and archives, wait in a durable queue, and results go back.

What comes in is kept by :mod:`~stenograde.pacs.intake`; what is to be done stands in the tables of
:mod:`~stenograde.pacs.tables` and changes its state in :mod:`~stenograde.pacs.states` alone;
:mod:`~stenograde.pacs.worker` grades; :mod:`~stenograde.pacs.service` starts the parts and restarts dead ones.
"""

"""Whatever has a gateway: exchanges that check, match, settle and publish; lenders whose loans wait for bots."""

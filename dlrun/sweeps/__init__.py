"""Sweeps: which jobs (points, search), where they run (launchers), and that none is lost."""

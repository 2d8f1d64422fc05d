"""Programs that look into files of strangers: processes of their own, which give up their rights first."""
